"""What is left of a real store when the power goes, when writes are torn, and when bits flip."""
