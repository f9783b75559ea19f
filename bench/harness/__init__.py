"""Side-by-side benchmarks of Causeway and its peers, driven through the Docker command line."""
