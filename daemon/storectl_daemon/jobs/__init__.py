"""What is asked of the daemon: options and jobs, the events that report on a job, and the variables of commands."""
