module moongate

go 1.26
