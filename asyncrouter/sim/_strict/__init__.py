"""What vendors refuse: the rules of a strict model, a file for each wire."""
