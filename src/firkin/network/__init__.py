"""Wires: address management and firewall rules (pure), bridges, endpoints, published ports, names."""
