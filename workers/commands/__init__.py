"""The operator's commands. A worker loads none of them."""
