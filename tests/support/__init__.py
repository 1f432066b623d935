"""What several suites use: fakes, brokers, servers, processes, the pool under test."""
