"""The engine of an ordinary user: namespaces in which he is root, and what stays outside of them."""
