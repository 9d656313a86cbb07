def check_all(*a): pass
