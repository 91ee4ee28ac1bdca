"""Named runs: functions that return a configuration, every number spelled out."""
