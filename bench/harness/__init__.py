"""What every measurement stands on: topics, buckets, pools, and how they are watched."""
