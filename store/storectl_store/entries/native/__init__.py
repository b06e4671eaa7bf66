"""Native libraries of entries: which folders their dynamic loader searches."""
