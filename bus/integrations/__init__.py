"""The bus for monitoring systems: one file per integration, each with an extra. ``import bus`` loads none of them."""
