"""The tax bureau's registers: quotas, number segments, rates, regions."""
