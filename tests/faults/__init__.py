"""What becomes of events when something breaks: every fault of docs/faults.md, made for real."""
