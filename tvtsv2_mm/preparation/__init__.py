"""From the files of others to ours: annotations and shards. Training imports none of it."""
