"""The store served under the Hub's API."""
