"""ScienceWorld (2203.07540): 30 tasks of elementary-school science in a house of words."""
