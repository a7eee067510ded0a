"""What a learner has: her packages, their backups, and what is recorded of them."""
