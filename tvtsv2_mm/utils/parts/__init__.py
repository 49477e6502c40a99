"""Work over a corpus in parts that outlives a kill: on several cores, on Ray."""
