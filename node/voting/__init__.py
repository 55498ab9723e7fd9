"""What only voters have: consensus, proposing, cosigning, and coming back after a loss."""
