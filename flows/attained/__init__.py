"""The Filippov set of a selector where it is smaller than the face: which patterns occur nearby."""
