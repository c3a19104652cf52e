"""Trains, judges and publishes the models that the processor loads."""
