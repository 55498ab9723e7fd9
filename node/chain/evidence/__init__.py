"""Evidence against liars: what it is, how it is judged, and how it is noticed."""
