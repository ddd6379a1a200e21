"""Hand-made rules of the text agent, fenced here: nothing outside this folder and `agents/text_agent.py` uses them."""
