"""Objects: labels to maps and back, matching, scores, measurements, pictures."""
