"""Running transactions: what they touch, whose key may, and what comes of them."""
