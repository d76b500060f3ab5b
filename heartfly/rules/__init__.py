"""Alert rules over the numbers of usage: kept, looked at each minute, replayed over past days, and told."""
