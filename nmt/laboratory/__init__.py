"""What only the lectures need: unusual networks and learning rules."""
