"""From a video file to the pixels and times of chosen frames; knows no data set."""
