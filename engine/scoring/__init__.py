"""Pure judges, one file each; extraction and judgement are apart."""
