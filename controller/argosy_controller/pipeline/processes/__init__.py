"""Jobs in child processes: what is asked, what is answered, what they may use, who is to blame when they die."""
