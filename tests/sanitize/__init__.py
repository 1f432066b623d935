"""The C kernel under the address and undefined-behaviour sanitizers: `make sanitize`."""
