//! Who is obeyed, the snapshot, numbers, batches, and when the link is given up.
