"""What moves a weight: the optimizer, its groups and its schedules."""
