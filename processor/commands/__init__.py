"""What each command of `processor` does; imported only when that command runs."""
