"""What is quicker on CPUs alone; everything works without it."""
