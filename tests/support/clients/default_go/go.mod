module post

go 1.22
