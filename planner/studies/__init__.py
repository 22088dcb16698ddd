"""Many scenarios as one question: a study is a file, its answer a Parquet dataset that is read as maps."""
