"""Projects: what a local project is made from, its editable wheel, and the record of a project."""
