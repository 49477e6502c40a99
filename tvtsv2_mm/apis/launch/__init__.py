"""From a command line and a config to a run."""
