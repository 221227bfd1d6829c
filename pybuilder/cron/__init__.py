"""One pass of ``cron``."""
