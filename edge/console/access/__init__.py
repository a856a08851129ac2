"""Who may do what: users and their passwords, sessions, and a brake on guessing."""
