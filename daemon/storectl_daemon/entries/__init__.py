"""From a pin to an entry of the store: fetching its wheel, identifying, staging in worker processes, committing."""
