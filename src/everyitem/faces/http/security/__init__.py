"""Who may do what: tokens, sessions of browsers, and the one guard every request has to pass."""
