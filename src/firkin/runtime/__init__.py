"""From a specification to a process: plan, launcher, keeper."""
