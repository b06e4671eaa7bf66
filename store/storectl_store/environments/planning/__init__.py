"""Planning an environment: from outlines to everything that its view holds."""
