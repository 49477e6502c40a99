"""Small trainings that show the method; nothing imports them."""
