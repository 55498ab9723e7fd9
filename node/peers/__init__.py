"""The links to other nodes: messages, and which part takes them."""
