"""Processes that run handlers, and the supervisor that runs no user code and keeps them."""
