"""What makes and runs a classifier; knows no database and no inbox."""
