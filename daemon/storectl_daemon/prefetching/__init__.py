"""What was fetched by git is made ready before anybody checks it out."""
