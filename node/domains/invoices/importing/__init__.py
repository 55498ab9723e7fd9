"""Reading foreign files into plans of invoices and red letters. Needs no node and no network."""
